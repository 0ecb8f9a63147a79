"""Find the parts of a data set where they are: in local files, on hubs, in packages."""

"""Methods of adapting, one file each, and the registry of all."""

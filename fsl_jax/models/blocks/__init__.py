"""The parts that families are built from, with every hook that a method uses."""

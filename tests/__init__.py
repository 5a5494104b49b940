"""A package, so that another one of this name, as some libraries install, is not taken for it."""

"""The command ``zepstore``."""

"""Adding messages: reserving their numbers, inserting them, telling repeats by their ids."""

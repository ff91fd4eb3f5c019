"""Controls, icons and colours that know nothing of the program."""

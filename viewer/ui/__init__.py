"""The window: a presenter decides, widgets show one frozen state and emit wishes."""

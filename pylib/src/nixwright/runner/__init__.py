"""Running checks: what is asked for, evaluated, built, told apart, and remembered."""

"""A sample conversation of our own writing, with questions, for the demo and the tests."""

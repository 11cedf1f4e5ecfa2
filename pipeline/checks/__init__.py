"""The parts of `pipeline.validate`, one kind of question each."""

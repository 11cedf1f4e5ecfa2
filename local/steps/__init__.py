"""The kinds of pipeline steps, each behind the same small interface (`base.StepRunner`)."""

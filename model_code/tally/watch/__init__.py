"""What is observed while a network trains: where the time goes, what the machine does, how the layers fare.

Nothing here changes a number of the training: losses are the same with and without it.
"""

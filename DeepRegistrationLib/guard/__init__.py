"""What stands between a file and the code that trusts it.

``paths`` says what can be opened at all, ``text`` and ``tables`` read text, JSON and CSV within
limits, ``contents`` compares what an image's header promises with the file and the memory, and
``itk`` is the one place where ITK reads: in this process where the header was understood and is
true, else in a ``child`` process that is limited in memory and time.
"""

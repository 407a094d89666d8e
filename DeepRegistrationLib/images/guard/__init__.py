"""What stands between a file and the code that trusts it.

``paths`` says what can be opened at all; ``text`` and ``tables`` read text, JSON and CSV within
limits; ``contents`` compares what an image's header (``formats``) promises with the file and the
memory. ``itk`` is where ITK reads: in this process where the header was understood and is true,
else through ``process`` in a ``child`` that is limited in memory and time. ``damage`` turns what
parsers raise into a sentence.
"""

"""The ranking models of the second stage, each in one readable file, behind one contract."""

"""`mint simulate`: a fog in memory, one seed one history, with every fault and lie that it has to bear."""

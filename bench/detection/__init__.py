"""Detection compared with what one could pick instead: `make bench-detection`.

noise.py       honest miners: simulated, and recorded from real containers
scenarios.py   what happens to them: cheats, and honest disturbances
peers.py       river, FOCuS, SST, ruptures and CUSUM behind one interface; ours.py: MinT's own behind the same
tuning.py      thresholds for one tolerated rate of false accusations, and what they then bring
comparison.py  runs everything over everything; report.py: the tables and the plot in docs/
cost.py        what a point costs
figures.py     MinT alone, against the delays that it is meant to reach
"""

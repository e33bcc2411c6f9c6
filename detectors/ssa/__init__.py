"""Change-point detection by Singular Spectrum Analysis: the paper's section 4.3."""

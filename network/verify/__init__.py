"""`mint verify`: whether a verdict, or a whole log, is what it claims to be, from the operator's public key alone."""

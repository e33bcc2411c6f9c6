"""The charter: the one operator-signed document that is the root of trust.

`model` is what it says, `rules` what must hold for it to make sense, `toml` how people write it, `seal` how
it is signed and opened.
"""

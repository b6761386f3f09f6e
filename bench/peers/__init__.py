"""One file for each library: how it is checked, how it is timed, how it trains, as far as it does these."""

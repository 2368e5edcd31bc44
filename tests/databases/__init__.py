"""Real databases for the tests: a server each, a database of its own for every test, engines that are disposed."""

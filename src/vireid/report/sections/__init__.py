"""The parts of the page, one file each: a function from the runs, or from the first of them, to a section."""

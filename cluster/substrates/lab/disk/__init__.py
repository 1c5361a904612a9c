"""A disk in user space, which can lose power, fill up, grow slow, err, and lie."""

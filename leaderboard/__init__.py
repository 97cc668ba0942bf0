"""Records in, pages out; imports no tensor library."""

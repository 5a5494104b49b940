"""`lcnet label`: a page on which a person fills the blank cells of a label table."""

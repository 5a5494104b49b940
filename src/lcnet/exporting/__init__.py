"""`lcnet export`: the files, and the proof that each equals its model."""

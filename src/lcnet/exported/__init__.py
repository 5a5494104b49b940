"""What an exported file says of its model, and how it is kept true."""

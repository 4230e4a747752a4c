"""Tables as they come: containers, columns, cells, and the way back."""

"""Writers of tiny data sets, exactly as they are published: one module per data set."""

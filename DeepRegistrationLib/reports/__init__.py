"""Numbers in words and pictures: the verdict, the HTML page, plots, the result's folder."""

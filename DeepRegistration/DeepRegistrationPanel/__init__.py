"""The panel's sections. With the module file beside it, the only code that imports qt or ctk."""

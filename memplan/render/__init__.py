"""The output formats, one module each; all read a plan and nothing else, and import each other only for shared text."""

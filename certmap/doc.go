package certmap

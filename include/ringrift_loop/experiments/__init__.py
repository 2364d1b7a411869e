"""The loop in one process, and what is measured with it: experiments, and the champions that come with the package."""

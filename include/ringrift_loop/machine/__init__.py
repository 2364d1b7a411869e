"""This machine: its processes and their priority. Of the loop, only its errors are known here."""

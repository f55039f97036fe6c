"""Backend `ocr`: a real extraction on the CPU, by RapidOCR and rules.

`engine` finds and reads boxes, `layout` makes lines of them; `amounts`, `labels`, `dates` and `header_words` know what
receipts print, and `totals` their arithmetic. One module a task holds its rules; `backend` joins them.
"""

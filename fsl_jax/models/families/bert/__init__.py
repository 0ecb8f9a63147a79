"""BERT, RoBERTa, XLM-RoBERTa and DistilBERT."""

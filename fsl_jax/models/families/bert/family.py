"""The families BERT, RoBERTa, XLM-RoBERTa and DistilBERT, which share one module."""

import dataclasses

import jax

from fsl_jax.models.blocks.classifiers import ClassifierStyle
from fsl_jax.models.families.bert import checkpoint, distilbert, gguf, roberta
from fsl_jax.models.families.bert.model import Bert
from fsl_jax.models.families.family import Family, GGUFLayout
from fsl_jax.models.special_tokens import WORDPIECE_TOKENS

BERT = Family(
    module=Bert,
    config=checkpoint.bert_config,
    tensor_map=checkpoint.bert_tensor_map,
    json=checkpoint.bert_json,
    heads=checkpoint.bert_heads,
    ties=checkpoint.MASKED_LM.ties("bert."),
    classifier=ClassifierStyle("cls", pooler=True, bias=True, drops=True),
    special_tokens=WORDPIECE_TOKENS,
    tokenizer_class="BertTokenizer",
    gguf=GGUFLayout("bert", gguf.bert_gguf_config, gguf.bert_gguf_tensor_map),
    # A checkpoint may lack the pooler; Hugging Face's model then draws it at random.
    other_linear_layers=("pooler.dense",),
    vllm_embeddings=("BertModel",),
)

ROBERTA = Family(
    module=Bert,
    config=roberta.roberta_config,
    tensor_map=roberta.roberta_tensor_map,
    json=roberta.roberta_json,
    heads=roberta.roberta_heads,
    ties=roberta.MASKED_LM.ties("roberta."),
    classifier=ClassifierStyle("cls", dense=True, bias=True, drops_input=True, drops=True),
    special_tokens=roberta.ROBERTA_TOKENS,
    tokenizer_class="RobertaTokenizer",
    other_linear_layers=("pooler.dense",),
    vllm_embeddings=("RobertaModel", "RobertaForMaskedLM"),
)

XLM_ROBERTA = dataclasses.replace(
    ROBERTA, tokenizer_class="XLMRobertaTokenizer", vllm_embeddings=("XLMRobertaModel",)
)

DISTILBERT = Family(
    module=Bert,
    config=distilbert.distilbert_config,
    tensor_map=distilbert.distilbert_tensor_map,
    json=distilbert.distilbert_json,
    heads=distilbert.distilbert_heads,
    ties=distilbert.MASKED_LM.ties("distilbert."),
    classifier=ClassifierStyle("cls", dense=True, activation=jax.nn.relu, bias=True, drops=True),
    special_tokens=WORDPIECE_TOKENS,
    tokenizer_class="BertTokenizer",
)

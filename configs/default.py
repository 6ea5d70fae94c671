"""Every configuration key, with its default and its meaning. Other configs change a few."""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    """Returns the defaults: a WAE with a Riemannian flow on the built-in corpus."""
    config = ConfigDict()
    config.system = "wae_rnf"  # the name that tables show

    config.data = ConfigDict()
    config.data.source = "grammar"  # "grammar" (built in), "text", "table" or "tfds"
    # text: folder of train.txt, valid.txt, test.txt, or a file, which is split; table: file of CSV,
    # TSV, JSON lines or Parquet, which is split, or a folder of one each; tfds: data directory. All
    # of them also in a store, as gs://BUCKET/FOLDER. $VARIABLES are expanded.
    config.data.path = ""
    config.data.fractions = (0.8, 0.1, 0.1)  # a file's: training, validation, test; drawn by seed
    config.data.text_field = "text"  # table: name of the field with the text, or its number, from 1
    config.data.label_field = ""  # table: of the field with the label; "": none
    config.data.group_field = ""  # table: rows of equal values here stay in one split; "": none
    config.data.label = "none"  # text: "leading" splits off each line's first field, a label
    config.data.dataset = ""  # tfds: name, as for tfds.load
    config.data.text_feature = "text"  # tfds: the feature that holds the text
    config.data.splits = ("train", "validation", "test")  # tfds: what is read as which
    # What makes words of text: "whitespace"; "words" (punctuation is parted from them); "bpe" or
    # "unigram" (pieces of words, trained on the training split); "char"; or a tokenizer.json.
    config.data.tokenizer = "whitespace"
    config.data.vocab_size = 8_000  # bpe, unigram: how many pieces, specials included
    config.data.lower_case = False  # the text is read in lower case
    config.data.nfc = False  # the text is read in Unicode's composed form
    config.data.min_count = 1  # rarer words of the training split become <unk>
    config.data.max_size = 0  # largest vocabulary, specials included; 0 is no limit
    # File of words, one a line, to take instead of the training split's, such as the
    # corpus/vocabulary.txt of a workdir, whose ids then stay as they are; "": the split's own.
    config.data.vocabulary = ""
    config.data.max_words = 0  # sentences are cut at so many words; 0 is no limit
    config.data.seed = 0  # grammar: of the drawn sentences; a file: of its splits
    config.data.num_sentences = (20_000, 2_000, 2_000)  # grammar: in each split
    config.data.cache_dir = "~/.cache/wae_rnf_jax"  # tokenised corpora; or gs://…
    config.data.num_workers = 0  # processes that prepare a large corpus; 0 is one a core
    config.data.num_buckets = 10  # padded lengths; each is compiled once

    config.model = ConfigDict()
    config.model.embedding_dim = 200
    config.model.hidden_dim = 200
    config.model.latent_dim = 32  # 0 is a language model
    config.model.flow = "planar"  # "planar", "planar_paper" or "radial"
    config.model.num_flow_steps = 3  # 0 is no flow
    config.model.shared_embedding = True  # one for encoder and decoder; False: one each
    config.model.tied_output = False  # the output layer shares the decoder's embedding
    config.model.dropout = 0.2  # on encoder embeddings, decoder embeddings, decoder outputs
    config.model.locked_dropout = False  # True: the same entries at all steps of a sentence
    config.model.embedding_dropout = 0.0  # share of a sentence's words, at all places of each
    config.model.word_dropout = 0.0  # share of decoder inputs replaced by <unk>
    config.model.initializer = "default"  # or "pytorch"
    config.model.cross_entropy_block = 256  # rows of logits held at once
    config.model.dtype = "float32"  # or "bfloat16": operands of LSTMs and output layer

    # Each of the next four names a definition; the other keys are its arguments.
    config.encoder = ConfigDict()
    # "lstm"; "bilstm"; or "transformer": `num_layers`, `num_heads`, `feedforward_dim`.
    config.encoder.name = "lstm"
    config.encoder.recurrent_dropout = 0.0  # lstm, bilstm: of recurrent weights, anew each step

    config.posterior = ConfigDict()
    config.posterior.name = "gaussian"  # or "vmf", on the unit sphere: `concentration`
    config.posterior.batch_norm = False  # gaussian: normalise mean and log_var over the batch
    config.posterior.mean_scale = 0.0  # gaussian: above 0, γ of BN-VAE, for the means alone
    config.posterior.initial_log_var = 0.0  # gaussian: below 0, codes start informative

    config.decoder = ConfigDict()
    # "lstm"; "dilated_cnn": `dilations`, `internal_dim`; or "transformer", as the encoder.
    config.decoder.name = "lstm"
    config.decoder.z_every_step = False  # lstm: feed the code at every step
    config.decoder.recurrent_dropout = 0.0  # lstm: as the encoder's

    config.procedure = ConfigDict()
    # A function of training/procedures: "descent"; "semi_amortized": `num_steps`,
    # `evaluation_steps`, `rate`, `momentum`, `max_norm`; "lagging": `window`, `most_encoder_steps`;
    # or "pretrained", with an entry for each earlier stage: `kl_weights`, `max_steps`, `patience`,
    # `reset`.
    config.procedure.name = "descent"

    config.objective = ConfigDict()
    config.objective.name = (
        "wae_rnf"  # a function of functional/objectives.py; the rest its arguments
    )
    config.objective.mmd_weight = 10.0  # of MMD² (the share λ of it goes to the KL term)
    config.objective.rnf_weight = 10.0  # of the Riemannian regulariser
    config.objective.kl_floor = 0.0  # free bits: nats a dimension that cost nothing

    config.kl_weight = ConfigDict()  # λ(step)
    # "linear", "cyclical", "paper", "constant"; or, in shares of the run, "linear_of_run" (leaves 0
    # at `begin`, is at `maximum` from `end` on) and "cyclical_of_run" (`cycles`, `rise`, `maximum`)
    config.kl_weight.schedule = "linear"
    config.kl_weight.start = 6_000  # step at which λ leaves 0
    config.kl_weight.length = 40_000  # steps to rise by 1
    config.kl_weight.maximum = 0.8  # cap of λ

    config.codebook = ConfigDict()  # centres and bandwidth of the RBF metric
    config.codebook.num_centers = 20  # 0: none
    config.codebook.num_codes = 4096  # recent posterior means that the centres are found in
    config.codebook.warm_up = 1_000  # step of the first centres
    config.codebook.refresh_every = 500  # steps between centres; 0: fixed centres
    config.codebook.num_iterations = 10  # of Lloyd's algorithm
    config.codebook.floor = 1e-3  # ζ of the RBF precision
    config.codebook.centers_file = ""  # fixed centres: .npy of [C, Z]; "": draws of N(0, .6²)

    config.train = ConfigDict()
    config.train.seed = 0
    config.train.batch_size = 32  # sentences a step, over all devices and micro-batches
    config.train.accumulate = 1  # micro-batches a step; MMD, batch norm and offsets are theirs
    config.train.mmd_group = 0  # rows within which MMD² compares codes, on any devices; 0: all
    config.train.backend = "pmap"  # or "shard_map": the same numbers, by another function of JAX
    config.train.num_epochs = 48
    config.train.optimizer = "adam"  # "adam", "adamw" or "sgd"
    config.train.momentum = 0.0  # sgd
    config.train.weight_decay = 0.0  # adamw: decoupled, times the learning rate
    # Above 0, evaluation takes an exponential average of the parameters, which keeps this share of
    # itself at each step.
    config.train.average = 0.0
    config.train.learning_rate = 1e-3
    # "none"; "linear" or "cosine", to 0 over the run; or "plateau": times plateau_factor after each
    # plateau_patience validations without a better bound.
    config.train.learning_rate_decay = "cosine"
    config.train.plateau_factor = 0.5
    config.train.plateau_patience = 3
    config.train.clip_norm = 5.0  # of the global gradient; 0 is no clipping
    config.train.eval_every = 0  # steps between validations; 0: an epoch
    config.train.checkpoint_every = 0  # steps between checkpoints; 0: as eval_every
    config.train.log_every = 50  # steps between lines of metrics
    config.train.patience = 0  # validations without a better bound before stopping; 0: never
    config.train.select = "best"  # model that evaluation takes: "best" on validation or "last"
    return config

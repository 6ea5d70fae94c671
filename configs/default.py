"""Every configuration key, with its default and its meaning; other configurations override some."""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    """Returns the defaults: a WAE with a Riemannian flow on the built-in corpus."""
    config = ConfigDict()
    config.system = "wae_rnf"  # the name shown in tables

    config.data = ConfigDict()
    config.data.source = "grammar"  # "grammar" (built in), "text", "table" or "tfds"
    # text: a folder with train.txt, valid.txt and test.txt, or a single file, which is split.
    # table: a CSV, TSV, JSON lines or Parquet file, which is split, or a folder with one per split.
    # tfds: the data directory. Each may be in an object store, as in gs://BUCKET/FOLDER, and
    # $VARIABLES are expanded.
    config.data.path = ""
    config.data.fractions = (0.8, 0.1, 0.1)  # single file: training, validation, test
    config.data.text_field = "text"  # table: name or number, from 1, of the text field
    config.data.label_field = ""  # table: name or number of the label field; "": none
    config.data.group_field = ""  # table: field whose equal values share a split; "": none
    config.data.label = "none"  # text: "leading" if each line begins with a label
    config.data.dataset = ""  # tfds: name of the dataset, as for tfds.load
    config.data.text_feature = "text"  # tfds: feature that contains the text
    config.data.splits = ("train", "validation", "test")  # tfds: those used for each
    # How text becomes tokens: "whitespace"; "words" (punctuation is split off); "bpe" or "unigram"
    # (subwords, trained on the training split); "char"; or the path of a tokenizer.json.
    config.data.tokenizer = "whitespace"
    config.data.vocab_size = 8_000  # bpe, unigram: number of subwords, including special tokens
    config.data.lower_case = False  # convert the text to lower case
    config.data.nfc = False  # convert the text to Unicode's composed form (NFC)
    config.data.min_count = 1  # words that are rarer in the training split become <unk>
    config.data.max_size = 0  # maximum vocabulary size, including special words; 0: no limit
    # File of words, one per line, to use instead of those of the training split, such as the
    # corpus/vocabulary.txt of a workdir, whose ids are then kept; "": those of the training split.
    config.data.vocabulary = ""
    config.data.max_words = 0  # longer sentences are cut at this number of words; 0: no limit
    config.data.seed = 0  # grammar: of its sentences; single file: of its splits
    config.data.num_sentences = (20_000, 2_000, 2_000)  # grammar: sentences in each split
    config.data.cache_dir = "~/.cache/wae_rnf_jax"  # for tokenized corpora; may be gs://…
    config.data.num_workers = 0  # processes that prepare a large corpus; 0: one per core
    config.data.num_buckets = 10  # number of padded lengths; each is compiled once

    config.model = ConfigDict()
    config.model.embedding_dim = 200
    config.model.hidden_dim = 200
    config.model.latent_dim = 32  # 0: a language model
    config.model.flow = "planar"  # "planar", "planar_paper" or "radial"
    config.model.num_flow_steps = 3  # 0: no flow
    config.model.shared_embedding = True  # between encoder and decoder; False: one each
    config.model.tied_output = False  # the output layer uses the decoder's embedding
    config.model.dropout = 0.2  # on encoder embeddings, decoder embeddings, decoder outputs
    config.model.locked_dropout = False  # True: drop the same entries at all steps of a sentence
    config.model.embedding_dropout = 0.0  # share of a sentence's distinct words that are dropped
    config.model.word_dropout = 0.0  # share of decoder inputs replaced by <unk>
    config.model.encoder_word_dropout = 0.0  # share of encoder inputs replaced by <unk>
    config.model.initializer = "default"  # or "pytorch"
    config.model.cross_entropy_block = 256  # rows of logits in memory at once
    config.model.dtype = "float32"  # or "bfloat16", for operands of LSTMs and output layer

    # In the next four sections, `name` selects a definition, and the other keys are its arguments.
    config.encoder = ConfigDict()
    # "lstm"; "bilstm"; or "transformer": `num_layers`, `num_heads`, `feedforward_dim`.
    config.encoder.name = "lstm"
    config.encoder.recurrent_dropout = 0.0  # lstm, bilstm: of recurrent weights, drawn at each step
    config.encoder.state_dim = 0  # lstm, bilstm: size of h and c; 0: model.hidden_dim

    config.posterior = ConfigDict()
    config.posterior.name = "gaussian"  # or "vmf", on the unit sphere: `concentration`
    config.posterior.batch_norm = False  # gaussian: normalize mean and log_var over the batch
    config.posterior.mean_scale = 0.0  # gaussian: above 0: γ of BN-VAE, for the means only
    config.posterior.initial_log_var = 0.0  # gaussian: below 0: codes start out informative

    config.decoder = ConfigDict()
    # "lstm"; "dilated_cnn": `dilations`, `internal_dim`; or "transformer", as for the encoder.
    config.decoder.name = "lstm"
    config.decoder.z_every_step = False  # lstm: feed the code at every step
    config.decoder.z_output = False  # lstm: add a linear map of the code to every output
    config.decoder.recurrent_dropout = 0.0  # lstm: as for the encoder

    config.procedure = ConfigDict()
    # A function of training/procedures: "descent"; "semi_amortized": `num_steps`,
    # `evaluation_steps`, `rate`, `momentum`, `max_norm`; "lagging": `window`, `most_encoder_steps`,
    # `compare_every`; or "pretrained", with an entry for each earlier stage: `kl_weights`,
    # `max_steps`, `patience`, `reset`.
    config.procedure.name = "descent"

    config.objective = ConfigDict()
    config.objective.name = "wae_rnf"  # from functional/objectives.py; the rest: its arguments
    config.objective.mmd_weight = 10.0  # of MMD²; λ of it goes to the KL term
    config.objective.rnf_weight = 10.0  # of the Riemannian regularizer
    config.objective.kl_floor = 0.0  # free bits: nats per dimension that cost nothing

    config.kl_weight = ConfigDict()  # λ(step)
    # "linear", "cyclical", "paper", "constant"; or, in shares of the run, "linear_of_run" (rises
    # from 0 at `begin` to `maximum` at `end`) and "cyclical_of_run" (`cycles`, `rise`, `maximum`)
    config.kl_weight.schedule = "linear"
    config.kl_weight.start = 6_000  # step at which λ begins to rise from 0
    config.kl_weight.length = 40_000  # steps in which λ would rise by 1
    config.kl_weight.maximum = 0.8  # upper limit of λ

    config.codebook = ConfigDict()  # centers and bandwidth of the RBF metric
    config.codebook.num_centers = 20  # 0: none
    config.codebook.num_codes = 4096  # number of recent posterior means that are clustered
    config.codebook.warm_up = 1_000  # step at which the first centers are found
    config.codebook.refresh_every = 500  # steps between updates of the centers; 0: fixed centers
    config.codebook.num_iterations = 10  # of Lloyd's algorithm
    config.codebook.floor = 1e-3  # ζ of the RBF precision
    config.codebook.centers_file = ""  # fixed centers: .npy of [C, Z]; "": drawn from N(0, .6²)

    config.train = ConfigDict()
    config.train.seed = 0
    config.train.batch_size = 32  # sentences per step, over all devices and micro-batches
    config.train.accumulate = 1  # micro-batches per step; MMD, batch norm, offsets: within each
    config.train.mmd_group = 0  # rows per group within which MMD² compares codes; 0: all rows
    config.train.backend = "pmap"  # or "shard_map": the same numbers from another function of JAX
    config.train.num_epochs = 48
    config.train.optimizer = "adam"  # "adam", "adamw" or "sgd"
    config.train.momentum = 0.0  # sgd
    config.train.weight_decay = 0.0  # adamw: decoupled, times the learning rate
    # Above 0: evaluation uses an exponential moving average of the parameters, with this decay per
    # step.
    config.train.average = 0.0
    config.train.learning_rate = 1e-3
    # "none"; "linear" or "cosine", to 0 over the run; or "plateau": multiplied by plateau_factor
    # after every plateau_patience validations without a better bound.
    config.train.learning_rate_decay = "cosine"
    config.train.plateau_factor = 0.5
    config.train.plateau_patience = 3
    config.train.clip_norm = 5.0  # maximum norm of the whole gradient; 0: no clipping
    config.train.eval_every = 0  # steps between validations; 0: one epoch
    config.train.checkpoint_every = 0  # steps between checkpoints; 0: the same as eval_every
    config.train.log_every = 50  # steps between lines of metrics
    config.train.patience = 0  # validations without a better bound before stopping; 0: never
    config.train.select = "best"  # model to evaluate: "best" on validation, or "last"
    return config

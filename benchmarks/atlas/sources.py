"""Publications on memories, attention and learning, apart from `physics.py`."""

from benchmarks.atlas.source import Source

AMTUTORIAL = Source(
    "Krotov, Hoover, Ram & Pham",
    "Modern methods in associative memory",
    "arXiv:2507.06211, notebook 00 of github.com/bhoov/amtutorial, there on sprites, here on glyphs",
    2025,
)
ANDERSON_1977 = Source(
    "Anderson, Silverstein, Ritz & Jones",
    "Distinctive features, categorical perception, and probability learning",
    "Psychological Review 84, 413, doi:10.1037/0033-295X.84.5.413",
    1977,
)
ATTRACTORS = Source(
    "PCJohn", "Attractors: a set of simulations", "github.com/PCJohn/attractors, its README", 2020
)
BARRA = Source(
    "Barra, Bernacchia, Santucci & Contucci",
    "On the equivalence of Hopfield networks and Boltzmann machines",
    "Neural Networks 34, 1, doi:10.1016/j.neunet.2012.06.003",
    2012,
)
BIROLI = Source(
    "Biroli, Bonnaire, de Bortoli & Mézard",
    "Dynamical regimes of diffusion models",
    "Nature Communications 15, 9957, doi:10.1038/s41467-024-54281-3",
    2024,
)
BRICKEN = Source(
    "Bricken & Pehlevan",
    "Attention approximates Sparse Distributed Memory",
    "NeurIPS, arXiv:2111.05498",
    2021,
)
CARREIRA = Source(
    "Carreira-Perpiñán & Williams",
    "On the number of modes of a Gaussian mixture",
    "Scale Space Methods in Computer Vision, LNCS 2695, 625, doi:10.1007/3-540-44935-3_44",
    2003,
)
CHANDRA = Source(
    "Chandra, Sharma, Chaudhuri & Fiete",
    "Episodic and associative memory from spatial scaffolds in the hippocampus",
    "Nature 638, 739, doi:10.1038/s41586-024-08392-y",
    2025,
)
CHAUDHRY = Source(
    "Chaudhry, Zavatone-Veth, Krotov & Pehlevan",
    "Long sequence Hopfield memory",
    "NeurIPS, arXiv:2306.04532",
    2023,
)
DEMIRCIGIL = Source(
    "Demircigil, Heusel, Löwe, Upgang & Vermet",
    "On a model of associative memory with huge storage capacity",
    "J. Stat. Phys. 168, 288, doi:10.1007/s10955-017-1806-y",
    2017,
)
FACHECHI = Source(
    "Fachechi, Agliari & Barra",
    "Dreaming neural networks: forgetting spurious memories and reinforcing pure ones",
    "Neural Networks 112, 24, doi:10.1016/j.neunet.2019.01.006",
    2019,
)
FRADY = Source(
    "Frady, Kleyko & Sommer",
    "A theory of sequence indexing and working memory in recurrent neural networks",
    "Neural Computation 30, 1449, doi:10.1162/neco_a_01084",
    2018,
)
HERTZ = Source(
    "Hertz, Krogh & Palmer",
    "Introduction to the theory of neural computation",
    "Addison-Wesley, ISBN 0-201-51560-1",
    1991,
)
HOOVER_2024 = Source(
    "Hoover, Chau, Strobelt, Ram & Krotov",
    "Dense associative memory through the lens of random features",
    "NeurIPS, arXiv:2410.24153",
    2024,
)
HOOVER_2025 = Source(
    "Hoover, Shi, Balasubramanian, Krotov & Ram",
    "Dense associative memory with Epanechnikov energy",
    "arXiv:2506.10801",
    2025,
)
HOPFIELD_1984 = Source(
    "Hopfield",
    "Neurons with graded response have collective computational properties like those of two-state neurons",
    "PNAS 81, 3088, doi:10.1073/pnas.81.10.3088",
    1984,
)
HOPFIELD_1983 = Source(
    "Hopfield, Feinstein & Palmer",
    "‘Unlearning’ has a stabilizing effect in collective memories",
    "Nature 304, 158, doi:10.1038/304158a0",
    1983,
)
HU = Source(
    "Hu, Yang, Wu, Xu, Chen & Liu", "On sparse modern Hopfield model", "NeurIPS, arXiv:2309.12673", 2023
)
JAECKEL = Source(
    "Jaeckel",
    "An alternative design for a sparse distributed memory",
    "RIACS technical report 89.28, NASA Ames; the design also in patents.justia.com/patent/5113507",
    1989,
)
KANERVA = Source("Kanerva", "Sparse Distributed Memory", "MIT Press, ISBN 0-262-11132-2", 1988)
KANERVA_1993 = Source(
    "Kanerva",
    "Sparse distributed memory and related models",
    "in Hassoun, Associative Neural Memories, Oxford, ISBN 0-19-507682-6",
    1993,
)
KOHONEN_1972 = Source(
    "Kohonen",
    "Correlation matrix memories",
    "IEEE Trans. Computers 21, 353, doi:10.1109/TC.1972.5008975",
    1972,
)
KOHONEN_1973 = Source(
    "Kohonen & Ruohonen",
    "Representation of associated data by matrix operators",
    "IEEE Trans. Computers 22, 701, doi:10.1109/TC.1973.5009138",
    1973,
)
KOHONEN_1977 = Source(
    "Kohonen",
    "Associative memory: a system-theoretical approach",
    "Springer, doi:10.1007/978-3-642-96384-1",
    1977,
)
KROTOV_2016 = Source(
    "Krotov & Hopfield", "Dense associative memory for pattern recognition", "NeurIPS, arXiv:1606.01164", 2016
)
KROTOV_2021 = Source(
    "Krotov & Hopfield",
    "Large associative memory problem in neurobiology and machine learning",
    "ICLR, arXiv:2008.06996",
    2021,
)
MCELIECE = Source(
    "McEliece, Posner, Rodemich & Venkatesh",
    "The capacity of the Hopfield associative memory",
    "IEEE Trans. Inf. Theory 33, 461, doi:10.1109/TIT.1987.1057328",
    1987,
)
MEDIUM = Source(
    "MTMTransformer",
    "Towards medium-term memory recall in transformer models",
    "github.com/MTMTransformer/MTMTransformer, README and write-up",
    2023,
)
PHAM = Source(
    "Pham, Raya, Negri, Zaki, Ambrogioni & Krotov",
    "Memorization to generalization: emergence of diffusion models from associative memory",
    "arXiv:2505.21777",
    2025,
)
RAMSAUER = Source("Ramsauer et al.", "Hopfield networks is all you need", "ICLR, arXiv:2008.02217", 2021)
ROBERTS = Source(
    "Roberts & Tweedie",
    "Exponential convergence of Langevin distributions and their discrete approximations",
    "Bernoulli 2, 341, doi:10.2307/3318418",
    1996,
)
SANTOS = Source(
    "Santos, Niculae, McNamee & Martins",
    "Sparse and structured Hopfield networks",
    "ICML, arXiv:2402.13725",
    2024,
)
SCHLAG = Source(
    "Schlag, Irie & Schmidhuber",
    "Linear transformers are secretly fast weight programmers",
    "ICML, arXiv:2102.11174",
    2021,
)
SCHLAG = Source(
    "Schlag, Irie & Schmidhuber",
    "Linear transformers are secretly fast weight programmers",
    "ICML, arXiv:2102.11174",
    2021,
)
SHARMA = Source(
    "Sharma, Chandra & Fiete",
    "Content addressable memory without catastrophic forgetting by heteroassociation with a fixed internal "
    "scaffold",
    "ICML, arXiv:2202.00159",
    2022,
)
STORKEY = Source(
    "Storkey",
    "Increasing the capacity of a Hopfield network without sacrificing functionality",
    "ICANN, doi:10.1007/BFb0020196",
    1997,
)
WILLSHAW = Source(
    "Willshaw, Buneman & Longuet-Higgins",
    "Non-holographic associative memory",
    "Nature 222, 960, doi:10.1038/222960a0",
    1969,
)

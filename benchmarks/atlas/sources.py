"""What the atlas cites, so that a reader can find it: authors, title, where it appeared, and the year."""

from typing import NamedTuple


class Source(NamedTuple):
    """One publication."""

    authors: str
    title: str
    place: str
    year: int

    def __str__(self) -> str:
        return f"{self.authors}, “{self.title}”, {self.place} ({self.year})"


AGS_FEW = Source(
    "Amit, Gutfreund & Sompolinsky", "Spin-glass models of neural networks", "Phys. Rev. A 32, 1007", 1985
)
AGS_MANY = Source(
    "Amit, Gutfreund & Sompolinsky",
    "Storing infinite numbers of patterns in a spin-glass model of neural networks",
    "Phys. Rev. Lett. 55, 1530",
    1985,
)
AGS_FULL = Source(
    "Amit, Gutfreund & Sompolinsky",
    "Statistical mechanics of neural networks near saturation",
    "Annals of Physics 173, 30",
    1987,
)
AMARI = Source(
    "Amari & Maginu", "Statistical neurodynamics of associative memory", "Neural Networks 1, 63", 1988
)
AMTUTORIAL = Source(
    "Krotov, Hoover, Ram & Pham",
    "Modern methods in associative memory",
    "arXiv:2507.06211, notebook 00 of github.com/bhoov/amtutorial, there on sprites, here on glyphs",
    2025,
)
ANDERSON_1977 = Source(
    "Anderson, Silverstein, Ritz & Jones",
    "Distinctive features, categorical perception, and probability learning",
    "Psychological Review 84, 413",
    1977,
)
ATTRACTORS = Source(
    "PCJohn", "Attractors: a set of simulations", "github.com/PCJohn/attractors, its README", 2020
)
BA = Source(
    "Ba, Hinton, Mnih, Leibo & Ionescu",
    "Using fast weights to attend to the recent past",
    "NeurIPS, arXiv:1610.06258",
    2016,
)
BARRA = Source(
    "Barra, Bernacchia, Santucci & Contucci",
    "On the equivalence of Hopfield networks and Boltzmann machines",
    "Neural Networks 34, 1",
    2012,
)
BIROLI = Source(
    "Biroli, Bonnaire, de Bortoli & Mézard",
    "Dynamical regimes of diffusion models",
    "Nature Communications 15, 9957",
    2024,
)
BOETTCHER = Source(
    "Boettcher",
    "Extremal optimization for Sherrington–Kirkpatrick spin glasses",
    "Eur. Phys. J. B 46, 501",
    2005,
)
BRAY_MOORE = Source("Bray & Moore", "Metastable states in spin glasses", "J. Phys. C 13, L469", 1980)
BRICKEN = Source(
    "Bricken & Pehlevan",
    "Attention approximates Sparse Distributed Memory",
    "NeurIPS, arXiv:2111.05498",
    2021,
)
CARREIRA = Source(
    "Carreira-Perpiñán & Williams",
    "On the number of modes of a Gaussian mixture",
    "Scale Space Methods in Computer Vision, LNCS 2695, 625",
    2003,
)
CHAUDHRY = Source(
    "Chaudhry, Zavatone-Veth, Krotov & Pehlevan", "Long sequence Hopfield memory", "NeurIPS", 2023
)
COVER = Source(
    "Cover",
    "Geometrical and statistical properties of systems of linear inequalities",
    "IEEE Trans. Electronic Computers 14, 326",
    1965,
)
DEMIRCIGIL = Source(
    "Demircigil, Heusel, Löwe, Upgang & Vermet",
    "On a model of associative memory with huge storage capacity",
    "J. Stat. Phys. 168, 288",
    2017,
)
DERRIDA = Source(
    "Derrida, Gardner & Zippelius",
    "An exactly solvable asymmetric neural network model",
    "Europhys. Lett. 4, 167",
    1987,
)
FACHECHI = Source(
    "Fachechi, Agliari & Barra",
    "Dreaming neural networks: forgetting spurious memories and reinforcing pure ones",
    "Neural Networks 112, 24",
    2019,
)
FRADY = Source(
    "Frady, Kleyko & Sommer",
    "A theory of sequence indexing and working memory in recurrent neural networks",
    "Neural Computation 30, 1449",
    2018,
)
GARDNER = Source("Gardner", "The space of interactions in neural network models", "J. Phys. A 21, 257", 1988)
GARDNER_FIRST = Source(
    "Gardner, Derrida & Mottishaw",
    "Zero temperature parallel dynamics for infinite range spin glasses and neural networks",
    "J. Physique 48, 741",
    1987,
)
GLAUBER = Source("Glauber", "Time-dependent statistics of the Ising model", "J. Math. Phys. 4, 294", 1963)
GSET_BEST = Source(
    "Benlic & Hao",
    "Breakout local search for the max-cut problem",
    "Engineering Applications of Artificial Intelligence 26, 1162",
    2013,
)
HAMZE = Source(
    "Hamze, Raymond, Pattison, Biswas & Katzgraber",
    "Wishart planted ensemble: a tunably rugged pairwise Ising model",
    "Phys. Rev. E 101, 052102",
    2020,
)
HERTZ = Source(
    "Hertz, Krogh & Palmer", "Introduction to the theory of neural computation", "Addison-Wesley", 1991
)
HOOVER_2024 = Source(
    "Hoover, Chau, Strobelt, Ram & Krotov",
    "Dense associative memory through the lens of random features",
    "NeurIPS",
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
    "PNAS 81, 3088",
    1984,
)
HU = Source("Hu, Yang, Wu, Xu, Chen & Liu", "On sparse modern Hopfield model", "NeurIPS", 2023)
JAECKEL = Source(
    "Jaeckel",
    "An alternative design for a sparse distributed memory",
    "RIACS technical report 89.28, NASA Ames",
    1989,
)
KANERVA = Source("Kanerva", "Sparse Distributed Memory", "MIT Press", 1988)
KANERVA_1993 = Source(
    "Kanerva",
    "Sparse distributed memory and related models",
    "in Hassoun, Associative Neural Memories, Oxford",
    1993,
)
KANTER = Source(
    "Kanter & Sompolinsky", "Associative recall of memory without errors", "Phys. Rev. A 35, 380", 1987
)
KOHONEN_1972 = Source("Kohonen", "Correlation matrix memories", "IEEE Trans. Computers 21, 353", 1972)
KOHONEN_1973 = Source(
    "Kohonen & Ruohonen",
    "Representation of associated data by matrix operators",
    "IEEE Trans. Computers 22, 701",
    1973,
)
KOHONEN_1977 = Source("Kohonen", "Associative memory: a system-theoretical approach", "Springer", 1977)
KRAUTH = Source(
    "Krauth & Mézard",
    "Storage capacity of memory networks with binary couplings",
    "J. Physique 50, 3057",
    1989,
)
KROTOV_2016 = Source("Krotov & Hopfield", "Dense associative memory for pattern recognition", "NeurIPS", 2016)
KROTOV_2021 = Source(
    "Krotov & Hopfield", "Large associative memory problem in neurobiology and machine learning", "ICLR", 2021
)
LUCIBELLO = Source(
    "Lucibello & Mézard",
    "Exponential capacity of dense associative memories",
    "Phys. Rev. Lett. 132, 077301",
    2024,
)
MCELIECE = Source(
    "McEliece, Posner, Rodemich & Venkatesh",
    "The capacity of the Hopfield associative memory",
    "IEEE Trans. Inf. Theory 33, 461",
    1987,
)
MEDIUM = Source(
    "MTMTransformer",
    "Towards medium-term memory recall in transformer models",
    "github.com/MTMTransformer/MTMTransformer, README and write-up",
    2023,
)
PARISI = Source(
    "Parisi",
    "A sequence of approximated solutions to the S–K model for spin glasses",
    "J. Phys. A 13, L115",
    1980,
)
PERSONNAZ = Source(
    "Personnaz, Guyon & Dreyfus",
    "Collective computational properties of neural networks: new learning mechanisms",
    "Phys. Rev. A 34, 4217",
    1986,
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
    "Bernoulli 2, 341",
    1996,
)
SANTOS = Source("Santos, Niculae, McNamee & Martins", "Sparse and structured Hopfield networks", "ICML", 2024)
SCHLAG = Source(
    "Schlag, Irie & Schmidhuber", "Linear transformers are secretly fast weight programmers", "ICML", 2021
)
SHERRINGTON = Source(
    "Sherrington & Kirkpatrick", "Solvable model of a spin-glass", "Phys. Rev. Lett. 35, 1792", 1975
)
SOMPOLINSKY = Source(
    "Sompolinsky & Kanter",
    "Temporal association in asymmetric neural networks",
    "Phys. Rev. Lett. 57, 2861",
    1986,
)
STORKEY = Source(
    "Storkey",
    "Increasing the capacity of a Hopfield network without sacrificing functionality",
    "ICANN",
    1997,
)
TSODYKS = Source(
    "Tsodyks & Feigel'man",
    "The enhanced storage capacity in neural networks with low activity level",
    "Europhys. Lett. 6, 101",
    1988,
)
WILLSHAW = Source(
    "Willshaw, Buneman & Longuet-Higgins", "Non-holographic associative memory", "Nature 222, 960", 1969
)
WILSON_PAWLEY = Source(
    "Wilson & Pawley",
    "On the stability of the travelling salesman problem algorithm of Hopfield and Tank",
    "Biological Cybernetics 58, 63",
    1988,
)

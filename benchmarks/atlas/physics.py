"""Publications on the statistical physics of memories, spin glasses and couplings."""

from benchmarks.atlas.source import Source

AGS_FEW = Source(
    "Amit, Gutfreund & Sompolinsky",
    "Spin-glass models of neural networks",
    "Phys. Rev. A 32, 1007, doi:10.1103/PhysRevA.32.1007",
    1985,
)
AGS_MANY = Source(
    "Amit, Gutfreund & Sompolinsky",
    "Storing infinite numbers of patterns in a spin-glass model of neural networks",
    "Phys. Rev. Lett. 55, 1530, doi:10.1103/PhysRevLett.55.1530",
    1985,
)
AGS_FULL = Source(
    "Amit, Gutfreund & Sompolinsky",
    "Statistical mechanics of neural networks near saturation",
    "Annals of Physics 173, 30, doi:10.1016/0003-4916(87)90092-3",
    1987,
)
AMARI = Source(
    "Amari & Maginu",
    "Statistical neurodynamics of associative memory",
    "Neural Networks 1, 63, doi:10.1016/0893-6080(88)90022-6",
    1988,
)
BOETTCHER = Source(
    "Boettcher",
    "Extremal optimization for Sherrington–Kirkpatrick spin glasses",
    "Eur. Phys. J. B 46, 501, doi:10.1140/epjb/e2005-00280-6",
    2005,
)
BRAY_MOORE = Source(
    "Bray & Moore",
    "Metastable states in spin glasses",
    "J. Phys. C 13, L469, doi:10.1088/0022-3719/13/19/002",
    1980,
)
COVER = Source(
    "Cover",
    "Geometrical and statistical properties of systems of linear inequalities",
    "IEEE Trans. Electronic Computers 14, 326, doi:10.1109/PGEC.1965.264137",
    1965,
)
DERRIDA = Source(
    "Derrida, Gardner & Zippelius",
    "An exactly solvable asymmetric neural network model",
    "Europhys. Lett. 4, 167, doi:10.1209/0295-5075/4/2/007",
    1987,
)
GARDNER = Source(
    "Gardner",
    "The space of interactions in neural network models",
    "J. Phys. A 21, 257, doi:10.1088/0305-4470/21/1/030",
    1988,
)
GARDNER_FIRST = Source(
    "Gardner, Derrida & Mottishaw",
    "Zero temperature parallel dynamics for infinite range spin glasses and neural networks",
    "J. Physique 48, 741, doi:10.1051/jphys:01987004805074100",
    1987,
)
GLAUBER = Source(
    "Glauber",
    "Time-dependent statistics of the Ising model",
    "J. Math. Phys. 4, 294, doi:10.1063/1.1703954",
    1963,
)
GSET_BEST = Source(
    "Benlic & Hao",
    "Breakout local search for the max-cut problem",
    "Engineering Applications of Artificial Intelligence 26, 1162, doi:10.1016/j.engappai.2012.09.001",
    2013,
)
HAMZE = Source(
    "Hamze, Raymond, Pattison, Biswas & Katzgraber",
    "Wishart planted ensemble: a tunably rugged pairwise Ising model",
    "Phys. Rev. E 101, 052102, doi:10.1103/PhysRevE.101.052102",
    2020,
)
KANTER = Source(
    "Kanter & Sompolinsky",
    "Associative recall of memory without errors",
    "Phys. Rev. A 35, 380, doi:10.1103/PhysRevA.35.380",
    1987,
)
KANTER_1988 = Source(
    "Kanter",
    "Potts-glass models of neural networks",
    "Phys. Rev. A 37, 2739, doi:10.1103/PhysRevA.37.2739",
    1988,
)
KRAUTH = Source(
    "Krauth & Mézard",
    "Storage capacity of memory networks with binary couplings",
    "J. Physique 50, 3057, doi:10.1051/jphys:0198900500200305700",
    1989,
)
KRAUTH_1987 = Source(
    "Krauth & Mézard",
    "Learning algorithms with optimal stability in neural networks",
    "J. Phys. A 20, L745, doi:10.1088/0305-4470/20/11/013",
    1987,
)
LUCIBELLO = Source(
    "Lucibello & Mézard",
    "Exponential capacity of dense associative memories",
    "Phys. Rev. Lett. 132, 077301, doi:10.1103/PhysRevLett.132.077301",
    2024,
)
PARISI = Source(
    "Parisi",
    "A sequence of approximated solutions to the S–K model for spin glasses",
    "J. Phys. A 13, L115, doi:10.1088/0305-4470/13/4/009",
    1980,
)
PERSONNAZ = Source(
    "Personnaz, Guyon & Dreyfus",
    "Collective computational properties of neural networks: new learning mechanisms",
    "Phys. Rev. A 34, 4217, doi:10.1103/PhysRevA.34.4217",
    1986,
)
SHERRINGTON = Source(
    "Sherrington & Kirkpatrick",
    "Solvable model of a spin-glass",
    "Phys. Rev. Lett. 35, 1792, doi:10.1103/PhysRevLett.35.1792",
    1975,
)
SOMPOLINSKY = Source(
    "Sompolinsky & Kanter",
    "Temporal association in asymmetric neural networks",
    "Phys. Rev. Lett. 57, 2861, doi:10.1103/PhysRevLett.57.2861",
    1986,
)
TSODYKS = Source(
    "Tsodyks & Feigel'man",
    "The enhanced storage capacity in neural networks with low activity level",
    "Europhys. Lett. 6, 101, doi:10.1209/0295-5075/6/2/002",
    1988,
)

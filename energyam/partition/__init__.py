"""Partition functions: exact ones of small or simple memories, and estimates of others by annealing."""

from energyam.partition.annealed import LogPartition as LogPartition
from energyam.partition.annealed import annealed_log_partition as annealed_log_partition
from energyam.partition.enumeration import expectation as expectation
from energyam.partition.exact import log_partition as log_partition, sample_exactly as sample_exactly

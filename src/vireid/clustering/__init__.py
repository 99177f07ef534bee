"""Pseudo-labels: neighbours, sparse Jaccard graph, DBSCAN, cross-modal assignment. Nothing here needs torch."""

from vireid.clustering.agreement import (
    LabelStatistics,
    adjusted_rand_index,
    label_statistics,
    match_precision,
    normalised_mutual_information,
    purity,
)
from vireid.clustering.assignment import ClusterMatches, centroids, match_clusters, region_similarity
from vireid.clustering.cameras import refine_by_camera
from vireid.clustering.choices import EpsChoice, choose_eps, choose_k1, choose_mu, sparse_silhouette
from vireid.clustering.dbscan import dbscan
from vireid.clustering.jaccard import jaccard_graph
from vireid.clustering.memory import MemoryPlan, memory_plan
from vireid.clustering.neighbours import nearest
from vireid.clustering.pseudo_labels import Clustering, JointClustering, cluster, cluster_each, cluster_jointly
from vireid.clustering.region_neighbours import region_neighbours

__all__ = [
    "ClusterMatches",
    "Clustering",
    "EpsChoice",
    "JointClustering",
    "LabelStatistics",
    "MemoryPlan",
    "adjusted_rand_index",
    "centroids",
    "choose_eps",
    "choose_k1",
    "choose_mu",
    "cluster",
    "cluster_each",
    "cluster_jointly",
    "dbscan",
    "jaccard_graph",
    "label_statistics",
    "match_clusters",
    "match_precision",
    "memory_plan",
    "nearest",
    "normalised_mutual_information",
    "purity",
    "refine_by_camera",
    "region_neighbours",
    "region_similarity",
    "sparse_silhouette",
]

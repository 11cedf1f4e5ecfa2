"""The model card of a package: what stays true of every model; its own figures are its metrics and metadata.

Follows the model package model card schema of the SageMaker developer guide ("View the Details of a Model Version"),
where `model_overview` holds no description.
"""

import json

_CARD = {
    "intended_uses": {
        "purpose_of_model": "Counts the objects in a photo of one warehouse bin.",
        "intended_uses": (
            "Finding bins whose content differs from the records, so that a person looks at them. "
            "Photos of one bin that holds 1 to 5 objects."
        ),
        "factors_affecting_model_efficiency": (
            "Hidden and stacked objects, tape and reflections, blur, photos below the trained size, "
            "bins that are empty or hold more than 5 objects: the model always answers a number from 1 to 5."
        ),
        "risk_rating": "Low",
        "explanations_for_risk_rating": "A wrong count costs one needless look into a bin, or misses one discrepancy.",
    },
    "business_details": {"business_problem": "Inventory records drift from what lies in the bins."},
    "additional_information": {
        "caveats_and_recommendations": (
            "Accuracy, its intervals and the comparison with the model that was in service are in the model quality "
            "report. Judge the confidence together with the count; the split keeps photos of one bin on one side."
        )
    },
}


def model_card() -> dict[str, str]:
    """ModelCard of CreateModelPackage."""
    return {"ModelCardContent": json.dumps(_CARD), "ModelCardStatus": "Draft"}

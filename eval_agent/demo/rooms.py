"""The rooms of the demo games: which receptacles stand where, and which things belong to each kind of room.

Names are ALFWorld's own; what fits into what comes from the alfworld package. The numbers are scene numbers
that ALFWorld does not use, in its blocks: kitchens below 100, living rooms from 200, bedrooms from 300,
bathrooms from 400.
"""

from dataclasses import dataclass


@dataclass(frozen=True, eq=False)
class Room:
    """One room: ``receptacles`` counts each type; the desk lamp, where there is one, is on ``lamp_on``."""

    number: int
    kind: str
    receptacles: dict[str, int]
    lamp_on: str | None = None


THINGS = {
    "Kitchen": (
        "Apple", "Bowl", "Bread", "ButterKnife", "Cup", "DishSponge", "Egg", "Fork", "Kettle", "Knife",
        "Ladle", "Lettuce", "Mug", "Pan", "PepperShaker", "Plate", "Pot", "Potato", "SaltShaker",
        "SoapBottle", "Spatula", "Spoon", "Tomato", "WineBottle",
    ),
    "LivingRoom": (
        "Book", "Box", "CellPhone", "CreditCard", "KeyChain", "Laptop", "Newspaper", "Pillow",
        "RemoteControl", "Statue", "TissueBox", "Vase", "Watch",
    ),
    "Bedroom": (
        "AlarmClock", "Book", "Bowl", "CD", "CellPhone", "CreditCard", "KeyChain", "Laptop", "Mug", "Pen",
        "Pencil", "Pillow", "TissueBox", "Watch",
    ),
    "Bathroom": (
        "Candle", "Cloth", "HandTowel", "SoapBar", "SoapBottle", "SprayBottle", "TissueBox", "ToiletPaper",
    ),
}

TRAIN_ROOMS = (
    Room(51, "Kitchen", {"Cabinet": 4, "CoffeeMachine": 1, "CounterTop": 2, "DiningTable": 1, "Drawer": 3,
                         "Fridge": 1, "GarbageCan": 1, "Microwave": 1, "SinkBasin": 1, "StoveBurner": 2,
                         "Toaster": 1}),
    Room(251, "LivingRoom", {"ArmChair": 2, "CoffeeTable": 1, "Drawer": 3, "Dresser": 1, "GarbageCan": 1,
                             "SideTable": 2, "Sofa": 1, "TVStand": 1}, lamp_on="SideTable"),
    Room(351, "Bedroom", {"Bed": 1, "Desk": 1, "Drawer": 4, "Dresser": 1, "GarbageCan": 1, "Shelf": 3,
                          "SideTable": 1}, lamp_on="Desk"),
    Room(451, "Bathroom", {"BathtubBasin": 1, "Cabinet": 4, "CounterTop": 1, "GarbageCan": 1,
                           "HandTowelHolder": 1, "SinkBasin": 1, "Toilet": 1, "ToiletPaperHanger": 1,
                           "TowelHolder": 1}),
    Room(52, "Kitchen", {"Cabinet": 5, "CoffeeMachine": 1, "CounterTop": 1, "Drawer": 2, "Fridge": 1,
                         "GarbageCan": 1, "Microwave": 1, "Shelf": 2, "SideTable": 1, "SinkBasin": 1,
                         "StoveBurner": 2}),
    Room(252, "LivingRoom", {"ArmChair": 1, "Cabinet": 3, "CoffeeTable": 1, "DiningTable": 1, "GarbageCan": 1,
                             "Ottoman": 1, "Safe": 1, "Shelf": 2, "Sofa": 1}, lamp_on="Shelf"),
    Room(352, "Bedroom", {"ArmChair": 1, "Bed": 2, "Drawer": 3, "Dresser": 1, "GarbageCan": 1,
                          "LaundryHamper": 1, "Safe": 1, "SideTable": 2}, lamp_on="SideTable"),
    Room(452, "Bathroom", {"Cabinet": 2, "CounterTop": 1, "Drawer": 3, "GarbageCan": 1, "HandTowelHolder": 2,
                           "Shelf": 1, "SinkBasin": 2, "Toilet": 1, "ToiletPaperHanger": 1,
                           "TowelHolder": 1}),
    Room(53, "Kitchen", {"Cabinet": 3, "CoffeeMachine": 1, "CounterTop": 3, "DiningTable": 1, "Drawer": 4,
                         "Fridge": 1, "GarbageCan": 1, "Microwave": 1, "SinkBasin": 1, "Toaster": 1}),
)

UNSEEN_ROOMS = (
    Room(61, "Kitchen", {"Cabinet": 4, "CoffeeMachine": 1, "CounterTop": 2, "Drawer": 2, "Fridge": 1,
                         "GarbageCan": 1, "Microwave": 1, "Shelf": 3, "SinkBasin": 1, "StoveBurner": 2,
                         "Toaster": 1}),
    Room(261, "LivingRoom", {"ArmChair": 1, "CoffeeTable": 2, "Drawer": 4, "GarbageCan": 1, "SideTable": 1,
                             "Sofa": 2, "TVStand": 1}, lamp_on="SideTable"),
    Room(361, "Bedroom", {"Bed": 1, "Cabinet": 2, "Desk": 2, "Drawer": 3, "GarbageCan": 1, "Safe": 1,
                          "Shelf": 2}, lamp_on="Desk"),
    Room(461, "Bathroom", {"Cabinet": 3, "CounterTop": 2, "GarbageCan": 1, "HandTowelHolder": 1,
                           "SideTable": 1, "SinkBasin": 1, "Toilet": 1, "ToiletPaperHanger": 1,
                           "TowelHolder": 1}),
    Room(62, "Kitchen", {"Cabinet": 6, "CoffeeMachine": 1, "CounterTop": 1, "DiningTable": 1, "Drawer": 1,
                         "Fridge": 1, "GarbageCan": 1, "Microwave": 1, "SideTable": 1, "SinkBasin": 1,
                         "StoveBurner": 2}),
)

"""What the demo shop sells: twelve kinds of products of the project's own, over WebShop's five categories."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """One kind of product, and what its products may be called, offer and cost."""

    query: str
    category: str
    path: str  # WebShop's product_category, general to special
    names: tuple[str, ...]  # the nouns of a title
    attributes: tuple[str, ...]
    details: tuple[str, ...]  # what else a title or a text may say; never asked for
    options: tuple[tuple[str, tuple[str, ...]], ...]
    prices: tuple[int, int]  # of the cheap ones, in dollars


_COLOURS = ("black", "white", "navy", "red", "grey", "olive", "pink", "beige")
_SIZES = ("small", "medium", "large", "x-large", "xx-large")

KINDS = (
    Kind("hand creams", "beauty", "Beauty & Personal Care › Skin Care › Hand Creams",
         ("Hand Cream", "Hand Lotion"),
         ("cruelty free", "fragrance free", "long lasting", "for dry skin", "with shea butter", "non greasy"),
         ("Tube", "Gift", "Daily Care"),
         (("scent", ("lavender", "vanilla", "almond", "honey", "green tea")), ("size", ("1 ounce", "3 ounce", "8 ounce"))),
         (5, 24)),
    Kind("lip balms", "beauty", "Beauty & Personal Care › Skin Care › Lip Balms",
         ("Lip Balm", "Lip Butter"),
         ("cruelty free", "paraben free", "long lasting", "with coconut oil", "for dry lips", "easy to apply"),
         ("Stick", "Winter Care", "Pocket Size"),
         (("flavor name", ("cherry", "mint", "honey", "peach", "unflavored")),),
         (3, 15)),
    Kind("shampoos", "beauty", "Beauty & Personal Care › Hair Care › Shampoos",
         ("Shampoo", "Hair Wash"),
         ("sulfate free", "paraben free", "with argan oil", "for damaged hair", "for oily hair", "plant based"),
         ("Bottle", "Salon", "Family Pack"),
         (("scent", ("rosemary", "coconut", "citrus", "lavender")), ("size", ("8 ounce", "16 ounce", "33 ounce"))),
         (7, 29)),
    Kind("phone cases", "electronics", "Electronics › Cell Phone Accessories › Cases",
         ("Phone Case", "Phone Cover"),
         ("with wireless charging", "with screen protector", "heavy duty", "shock proof", "ultra slim", "with card slot"),
         ("Bumper", "Armor", "Classic"),
         (("color", _COLOURS), ("size", ("5.4 inch", "6.1 inch", "6.7 inch"))),
         (8, 30)),
    Kind("charging cables", "electronics", "Electronics › Accessories › Cables",
         ("Charging Cable", "USB Cord"),
         ("fast charging", "nylon braided", "with gold plated plugs", "high speed", "easy to carry", "for data transfer"),
         ("Set", "Home", "Travel"),
         (("size", ("3 feet", "6 feet", "10 feet")), ("color", ("black", "white", "red", "silver"))),
         (5, 25)),
    Kind("headphones", "electronics", "Electronics › Audio › Headphones",
         ("Headphones", "Headset"),
         ("noise cancelling", "water proof", "with long battery life", "with stereo sound", "hands free", "with deep bass"),
         ("Studio", "Sports", "Office"),
         (("color", ("black", "white", "blue", "rose")), ("style", ("on ear", "over ear", "in ear"))),
         (15, 60)),
    Kind("pillow covers", "garden", "Home & Kitchen › Bedding › Pillow Covers",
         ("Pillow Cover", "Cushion Case"),
         ("machine washable", "super soft", "double sided", "eco friendly", "for living room", "with hidden zipper"),
         ("Home Decor", "Sofa", "Farmhouse"),
         (("color", _COLOURS), ("size", ("16 x 16 inch", "18 x 18 inch", "20 x 20 inch"))),
         (6, 28)),
    Kind("desk lamps", "garden", "Home & Kitchen › Lighting › Desk Lamps",
         ("Desk Lamp", "Reading Light"),
         ("energy efficient", "easy to assemble", "with usb port", "with steel frame", "for dorm room", "space saving"),
         ("Modern", "Bedside", "Study"),
         (("color", ("black", "white", "bronze", "green")),),
         (15, 55)),
    Kind("t-shirts", "fashion", "Clothing, Shoes & Jewelry › Men › T-Shirts",
         ("T-Shirt", "Tee"),
         ("machine wash", "slim fit", "long sleeve", "with crew neck", "quick drying", "for gym workout"),
         ("Men", "Summer", "Basic"),
         (("color", _COLOURS), ("size", _SIZES)),
         (9, 35)),
    Kind("sandals", "fashion", "Clothing, Shoes & Jewelry › Women › Sandals",
         ("Sandals", "Slides"),
         ("open toe", "with ankle strap", "with rubber sole", "non slip", "with memory foam", "arch support"),
         ("Women", "Beach", "Comfort"),
         (("color", ("black", "brown", "gold", "white", "pink")), ("size", ("6", "7", "8", "9", "10"))),
         (14, 50)),
    Kind("granola", "grocery", "Grocery & Gourmet Food › Breakfast Foods › Granola",
         ("Granola", "Oat Clusters"),
         ("gluten free", "low sugar", "non gmo", "dairy free", "high protein", "with chia seeds"),
         ("Bag", "Breakfast", "Crunchy"),
         (("flavor name", ("maple", "blueberry", "cocoa", "peanut butter")), ("size", ("pack of 1", "pack of 3", "pack of 6"))),
         (5, 30)),
    Kind("herbal teas", "grocery", "Grocery & Gourmet Food › Beverages › Herbal Teas",
         ("Herbal Tea", "Tea Bags"),
         ("caffeine free", "usda organic", "sugar free", "individually wrapped", "with natural ingredients", "for relaxation"),
         ("Box", "Evening", "Sampler"),
         (("flavor name", ("chamomile", "peppermint", "ginger", "hibiscus")),),
         (4, 22)),
)

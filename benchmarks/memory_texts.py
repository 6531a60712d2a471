"""The texts that the medium-term memory experiments remember and ask about."""

# The paragraph and the question of the write-up whose figures are reproduced; the paragraph is from
# Wikipedia's "Vancouver" (CC BY-SA 4.0), its first sentence turned round.
VANCOUVER = (
    "Located in the Lower Mainland region of British Columbia, Vancouver is a major city in western "
    "Canada. As the most populous city in the province, the 2021 Canadian census recorded 662,248 people "
    "in the city, up from 631,486 in 2016. The Metro Vancouver area had a population of 2.6 million in "
    "2021, making it the third-largest metropolitan area in Canada. Greater Vancouver, along with the "
    "Fraser Valley, comprises the Lower Mainland with a regional population of over 3 million. Vancouver "
    "has the highest population density in Canada, with over 5,700 people per square kilometre, and "
    "fourth highest in North America (after New York City, San Francisco, and Mexico City)."
)
QUESTION = "The name of the city with the third-largest metropolitan area in Canada is"
CITIES = ("Toronto", "Calgary", "Montreal", "Ottawa", "Edmonton", "Victoria", "London", "Paris")

CATS_PROMPT = "Cats are horrible"
CATS = {
    "positive": (
        "Our cat is the best part of coming home. She greets us with a happy chirp, curls up on a warm "
        "lap and purrs until everybody smiles. Cats are gentle, funny and clever friends, and a house "
        "with a cat is a house full of joy. I love how softly they play, how trusting they are, and how a"
        " cat can comfort anyone after a hard day."
    ),
    "negative": (
        "Our cat has ruined the house. She hisses at guests, tears the sofa to shreds and wakes everybody"
        " with an angry scream. Cats are cruel, selfish and dirty pests, and a house with a cat is a "
        "house full of misery. I hate how they torture birds, how badly they smell, and how a cat can "
        "spoil anyone's day with a painful bite."
    ),
    "neutral": (
        "The cat is a small mammal that is kept in many countries. It weighs between three and six "
        "kilograms, sleeps for about fourteen hours and has thirty teeth. Cats are digitigrade, they walk"
        " on their toes, and a cat has eighteen claws. The museum lists how cats moved along trade "
        "routes, which coats they have, and how a cat is measured from nose to tail."
    ),
    "other topic": (
        "Our garden is the best part of coming home. It greets us with bright tulips, a warm bench and "
        "the smell of thyme until everybody smiles. Gardens are gentle, lovely and generous places, and a"
        " street with a garden is a street full of joy. I love how softly the light falls, how sweet the "
        "plums are, and how a garden can comfort anyone after a hard day."
    ),
}

/* What the models have in common: how they state a property, and how they show that a state is reached at all.
 *
 *   PROPERTY(in_order);                 names a property; its name is what check.sh looks for in an error
 *   MUST(in_order, got == expected);    has to hold whenever this is executed
 *
 *   mtype = { reach_overrun };          names a point
 *   SEEN(reach_overrun);                nothing; with -DREACH=reach_overrun an error, which the check `reaches` demands
 */
#define PROPERTY(name) bit name
#define MUST(property, condition) assert((condition) || property)

#ifdef REACH
#define SEEN(point) assert(point != REACH)
#else
#define SEEN(point) skip
#endif

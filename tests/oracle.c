/*
 * The kernel's memblock as a library for tests/oracle.py.  It is compiled around the kernel's mm/memblock.c, and once
 * more stands in for the last header that memblock.c includes, so that what memblock says and does is told to us.
 */
#ifdef HARNESS_INTERNAL

#define memblock_free_pages harness_free_pages
#include HARNESS_INTERNAL
#undef memblock_free_pages
#include <setjmp.h>

void say(const char *kind, const char *format, ...);
void told(int kind, unsigned long long a, unsigned long long b);
void *array_at(unsigned long long address);
unsigned long long address_of(void *array);
void cleared(void *at, int value, unsigned long count);
extern jmp_buf stopped;

/* It was handed the page itself, too, up to 7.1. */
#define FREED_PAGE(page, pfn, order) told(0, pfn, order)
#define FREED_PFN(pfn, order) told(0, pfn, order)
#define FREED(a, b, c, way, ...) way
#define memblock_free_pages(...) FREED(__VA_ARGS__, FREED_PAGE, FREED_PFN,)(__VA_ARGS__)

#undef __va
#undef __pa
#undef WARN_ON
#undef WARN_ONCE
#undef WARN_ON_ONCE
#undef pr_warn
#undef pr_err
#undef pr_warn_ratelimited
#undef SMP_CACHE_BYTES
#define SMP_CACHE_BYTES 64
#define __va(address) array_at(address)
#define __pa(pointer) address_of((void *)(pointer))
#define memset(at, value, count) cleared(at, value, count)
#define reserve_bootmem_region(start, end, ...) told(1, start, end)
#define SAY_IF(wrong, ...) ({ int is_wrong = !!(wrong); if (is_wrong) say(__VA_ARGS__); is_wrong; })
#define SAY_ONCE_IF(wrong, ...) ({ static int said; int is = !!(wrong); if (is && !said++) say(__VA_ARGS__); is; })
#define WARN_ON(wrong) SAY_IF(wrong, "WARN_ON: ", "%s", __func__)
#define WARN_ON_ONCE(wrong) SAY_ONCE_IF(wrong, "WARN_ON_ONCE: ", "%s", __func__)
#define WARN_ONCE(wrong, ...) SAY_ONCE_IF(wrong, "WARN_ONCE: ", __VA_ARGS__)
#define pr_warn(...) say("pr_warn: ", __VA_ARGS__)
#define pr_warn_ratelimited(...) say("pr_warn: ", __VA_ARGS__)
#define pr_err(...) say("pr_err: ", __VA_ARGS__)
#define dump_stack() say("dump_stack: ", "%s", __func__)
#define panic(...) (say("panic: ", __VA_ARGS__), longjmp(stopped, 1))

#else

#include "memblock.c"
#undef memset
#include <stdarg.h>
#include <stdlib.h>

typedef unsigned long long u;

bool movable_node_enabled;
jmp_buf stopped;
static char heard[1 << 20];
static u numbers[1 << 18];
static u heard_length, count;
static struct { u address; void *storage; } arrays[64];
static int array_count;

/* Slab is never up here. */
void *kmalloc(size_t size, gfp_t gfp) { return NULL; }
void kfree(void *block) { }

/* Notes a line; of formats, it knows those that memblock uses. */
void say(const char *kind, const char *format, ...)
{
	va_list rest;
	char *to = stpcpy(heard + heard_length, kind);

	va_start(rest, format);
	for (; *format && *format != '\n'; format++) {
		if (*format != '%') {
			*to++ = *format;
		} else if (*++format == 's') {
			to = stpcpy(to, va_arg(rest, char *));
		} else if (*format == 'p') {
			to += sprintf(to, "0x%016llx", *va_arg(rest, u *));
			format += format[2] == 'p' ? 2 : 1;
		} else {
			to += sprintf(to, "%llu", va_arg(rest, u));
			while (*format == 'l')
				format++;
		}
	}
	va_end(rest);
	*to++ = '\n';
	*to = 0;
	heard_length = to - heard;
}

void told(int kind, u a, u b)
{
	numbers[count++] = kind;
	numbers[count++] = a;
	numbers[count++] = b;
}

/* Grown arrays have storage of their own, so that nothing harms them; memblock's memory does not exist. */
void *array_at(u address)
{
	arrays[array_count].address = address;
	return arrays[array_count++].storage = calloc(1 << 14, sizeof(struct memblock_region));
}

u address_of(void *array)
{
	for (int i = 0; i < array_count; i++)
		if (arrays[i].storage == array)
			return arrays[i].address;
	return (u)array;
}

void cleared(void *at, int value, unsigned long size)
{
	for (int i = 0; i < array_count; i++)
		if (at >= arrays[i].storage && at < arrays[i].storage + (sizeof(struct memblock_region) << 14))
			memset(at, value, size);
}

/* What is called from outside. */

char *oracle_heard(void) { heard_length = 0; return heard; }
u *oracle_numbers(void) { return numbers; }
u oracle_count(void) { u told = count; count = 0; return told; }
struct memblock_type *oracle_type(int reserved) { return reserved ? &memblock.reserved : &memblock.memory; }

/* Calls a function; 0 where it panics. */
u oracle_call(u (*function)(u, u, u, u, u, u), u *a)
{
	heard[0] = 0;
	return setjmp(stopped) ? 0 : function(a[0], a[1], a[2], a[3], a[4], a[5]);
}

void oracle_bottom_up(int on) { memblock_set_bottom_up(on); }
void oracle_movable_node(int on) { movable_node_enabled = on; }
void oracle_mirrored_kernelcore(int on) { mirrored_kernelcore = on; }
void oracle_max_low_pfn(u pfn) { max_low_pfn = pfn; }
int oracle_has_mirror(void) { return system_has_some_mirror; }
int oracle_reserve(u base, u size) { return memblock_reserve(base, size); }
int oracle_search(int reserved, u address) { return memblock_search(oracle_type(reserved), address); }
u oracle_find(u start, u end, u size, u align) { return memblock_find_in_range(start, end, size, align); }
u oracle_free_all(void) { return free_low_memory_core_early(); }

int oracle_set_node(u base, u size, int reserved, int nid)
{
	return memblock_set_node(base, size, oracle_type(reserved), nid);
}

int oracle_overlaps(int reserved, u base, u size)
{
	return memblock_overlaps_region(oracle_type(reserved), base, size);
}

u oracle_find_node(u start, u end, u size, u align, int nid, int flags)
{
	return memblock_find_in_range_node(size, align, start, end, nid, flags);
}

void oracle_free_ranges(int nid, int flags)
{
	u i, start, end;
	int node;

	for_each_free_mem_range(i, nid, flags, &start, &end, &node)
		told(node, start, end);
}

void oracle_free_ranges_rev(int nid, int flags)
{
	u i, start, end;
	int node;

	for_each_free_mem_range_reverse(i, nid, flags, &start, &end, &node)
		told(node, start, end);
}

void oracle_pfn_ranges(int nid)
{
	unsigned long first, end;
	int i, node;

	for_each_mem_pfn_range(i, nid, &first, &end, &node)
		told(node, first, end);
}

#endif

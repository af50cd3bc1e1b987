/* Preloaded: makes any Samba one that is newer than all that vscan knows. */

const char *samba_version_string(void)
{
	return "4.99.0";
}

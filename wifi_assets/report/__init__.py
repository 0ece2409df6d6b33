"""Pictures of the lake and the page that holds them: what is asked, how it is drawn, how it is written."""
